"""A local service of real processes, for newcomers and for tests.

``directory`` names the files, ``configuration`` writes the nodes' configurations, ``process``
runs ``quorate node``, ``opening`` does what members do until the service is open, ``service``
joins them, ``demo`` shows what a service is for.

    async with Sandbox.open(SandboxOptions(directory)) as sandbox:
        async with sandbox.user_session() as session: ...
"""

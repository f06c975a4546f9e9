"""Python SDK for users and members of a service.

``session`` speaks HTTPS with one service and follows its redirects, ``identity`` is who calls,
``service`` asks common questions and verifies receipts, ``governance`` signs what members say.

    async with Session(address, service_certificate, identity) as session:
        answer = await session.post("/app/log/private", json={"id": 42, "msg": "hi"})
        await Service(session).wait_for_commit(answer.tx_id)
"""

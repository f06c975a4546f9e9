"""Members, proposals, ballots and the constitution: the ``/gov`` frontend and its tables."""

"""Built-in endpoints of ``/node`` and those common to every frontend."""

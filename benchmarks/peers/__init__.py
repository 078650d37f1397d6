"""The same models written with what others would take; each module runs in a process of its own and prints JSON."""

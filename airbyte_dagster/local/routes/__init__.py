"""The HTTP routes, a module per resource. HTTP in and out only; the rules are in the modules they call."""

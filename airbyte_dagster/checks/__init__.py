"""What can be declared of a table (`specs`), the rules that evaluate it (`rules`, pure), and their evaluation."""

"""What a call runs in: so far an interpreter of the host."""

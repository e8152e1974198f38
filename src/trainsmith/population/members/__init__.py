"""What a member is: a network with what it minimizes, its rule, its data and its luck."""

"""Networks and members of populations measured while their owners train them."""

"""Making larger row groups of small ones without decoding what can stay as it is: pages."""

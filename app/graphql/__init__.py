"""The GraphQL face: it parses, calls one service or loader, wraps, and answers."""

"""The fields of Mutation."""

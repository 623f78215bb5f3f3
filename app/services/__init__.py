"""The verbs: one use case a method. They decide with the domain and act through the stores."""

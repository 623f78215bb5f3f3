"""Moving the artifacts of models: files and folders, on this machine's disks and in object stores."""

"""Where workloads come from: host-process pods now; containers, units and Kubernetes pods later."""

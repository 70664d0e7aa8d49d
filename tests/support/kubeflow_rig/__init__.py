"""What Kubeflow's own compiler, driver and launcher need around them to run a package without a cluster."""

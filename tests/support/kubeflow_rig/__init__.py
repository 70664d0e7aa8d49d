"""Services that Kubeflow's own compiler, driver and launcher need to run a package without a cluster."""

"""The pipeline on open-source Kubeflow Pipelines v2 and on Vertex AI."""

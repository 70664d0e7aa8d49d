"""Export, conversion, measurement and judgement of the models to be deployed."""

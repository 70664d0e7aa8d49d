"""TFX components that wrap the method of compressor_lib."""

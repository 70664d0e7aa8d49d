"""TFX components that wrap the method of compressor_lib."""

from components import object_store

# Here, so that whatever process works for a component has it.
object_store.register()

"""The sections of a configuration: what each field means, and which values it takes."""

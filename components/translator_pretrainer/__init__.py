"""TranslatorPretrainer: fits the translators of every connection, in one pass over unlabelled images."""

from components.translator_pretrainer.component import TranslatorPretrainer

__all__ = ["TranslatorPretrainer"]

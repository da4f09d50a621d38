"""The parameters of Zheng 2022 by that paper's own definitions."""

//! The daemon as an ACP agent towards editors.

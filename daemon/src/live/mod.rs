//! What happens now: the stream of each session, who watches it, which editors are attached.

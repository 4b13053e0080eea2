//! The edge's side of the conversation.

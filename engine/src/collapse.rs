//! One leader fetches a key; followers wait for it, within a deadline.

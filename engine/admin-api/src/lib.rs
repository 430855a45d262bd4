//! The contract of the admin interface. So far it is a folder of committed answers, `golden/`.

//! The admin client and discovery against stand-ins that keep the rules measured on real servers.

#[path = "../support/authority.rs"]
mod authority;
mod dns;
mod faults;
mod rules;
mod scale;
mod support;
mod tls;

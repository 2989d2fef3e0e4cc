//! What the codec does with each case it is attacked with. A test's name begins with the case's id:
//! H1 requests, HB hop-by-hop fields, UP a worker's responses.

mod bodies;
mod edits;
mod heads;
mod hop_by_hop;
mod kit;
mod limits;
mod properties;
mod requests;
mod responses;
mod tokeniser;

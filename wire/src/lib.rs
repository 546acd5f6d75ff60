//! What travels between a pony-build client and a pony-build server, and nothing else.
//!
//! Pure: no HTTP, no files, no clock. Both [`Call`] and its answers go from bytes to types and back;
//! the XML-RPC codec itself is one module behind them.

pub mod call;
pub mod dialect;
pub mod text;
pub mod value;
mod xml;

pub use call::{Answer, Call, ClientInfo, Fault, Receipt, Slot, StepResult, StoredResult, Tagset};
pub use dialect::{Dialect, Submitted};
pub use value::{Struct, Value};
pub use xml::{WireError, decode_value, encode_value};

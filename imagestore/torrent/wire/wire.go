// Package wire is what BitTorrent peers say to each other: the handshake and the messages of BEP 3, the fast extension (BEP 6), the
// extension protocol (BEP 10) with what is said in it (BEP 54's lt_donthave, and Aula's own), as bytes; and the obfuscated handshake (MSE).
//
// It holds no state of a conversation and decides nothing.
package wire

import "errors"

// ErrProtocol is wrapped by the errors that tell of a peer that says what cannot be said; other errors are those of the connection.
var ErrProtocol = errors.New("not the BitTorrent protocol")

// BlockSize is what every client takes as a request and asks for, in bytes. (BEP 3 says 2^14; more is refused by many.)
const BlockSize = 16 << 10

// extendedLimit is how long a message of an extension, or of a kind that is not known, may be, in bytes.
const extendedLimit = 64 << 10

package protocol

// Codes with which the server closes a session (RFC 6455 section 7.4: 4000 to 4999 are free for an application's own).
// The reason beside the code is for people; the agent shows it on the PC's screen.
const (
	// CloseRestarting says that the server stops, probably to start again: dial again (IANA's "service restart").
	CloseRestarting = 1012
	// CloseDenied says that the PC's key is not known and its ticket is missing, used, too old or another PC's. Dialling
	// again does not help: a PC gets its next ticket when it boots again.
	CloseDenied = 4001
	// CloseDuplicate says that another PC with the same address is connected. It is worth dialling again: the other
	// one may leave.
	CloseDuplicate = 4002
	// CloseReplaced says that a newer connection of the same PC took the place of this one.
	CloseReplaced = 4003
	// CloseMalformed says that the server did not understand what the agent said: they are of different versions.
	CloseMalformed = 4004
	// CloseForgotten says that the operator removed the PC: dial again to be a new, pending one.
	CloseForgotten = 4005
)

// MaxReason is the greatest length of a close reason in bytes (RFC 6455 section 5.5).
const MaxReason = 123

// Limits of one message, in bytes, by who sends it. A layout travels to the agent inside an Instruct, as base64.
const (
	MaxAgentMessage  = 1 << 20
	MaxServerMessage = 32 << 20
	MaxLayout        = 16 << 20
)

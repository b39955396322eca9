// Package rate says when a sender may send: a Pacer spreads datagrams evenly at a rate, and a Governor finds the rate that the network takes.
//
// Both are pure: they are told the time, start nothing, and are not safe for use by several goroutines at once. Rates are bit/s on the
// wire; 0 and less mean no limit.
package rate

// Package deployment carries out an instruction on a PC, whatever its kind: it decides in which order cache, fetch, clone and system do their parts,
// and which way is taken when one is closed.
//
// It moves no bytes of its own.
package deployment

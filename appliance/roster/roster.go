// Package roster knows who is connected: it gives out the tickets of a boot, enrols the agents that present them, keeps one
// session with each, carries instructions out and reports in, and moves image bytes to and from the PCs that
// an instruction entitles to them. It decides nothing about operations.
package roster

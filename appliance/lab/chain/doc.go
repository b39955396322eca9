// Package chain holds the tests that boot a PC of each kind from power-on to the agent, behind the appliance's own DHCP and behind somebody
// else's: real firmware in software emulation, in virtual classrooms of package lab. It is a package of its own so that they run beside
// the lab's other tests.
//
// Each boot is recorded packet by packet. So what a kind of firmware asks can be kept as an example for package netboot/dhcp, and how
// long each step takes can be compared: BenchmarkBoot prints a table.
package chain

// Package lab is a virtual classroom on one Linux machine: an appliance, PCs and the switch between them, for people
// without hardware and for the end-to-end tests.
//
// There are two kinds of PCs. A NativePC is the real agent in a network namespace of its own with a loop device
// for a disk: dozens fit on one machine at native speed, but they have no firmware and boot no operating
// system. A QEMUPC boots real firmware, loaders and kernels, in software emulation: a few, slowly. It has BIOS or UEFI, with Secure Boot or
// without, and boots from the network by PXE or by HTTP.
//
// The addresses come from the appliance, or, where a classroom is to have one, from somebody else's DHCP server.
//
// A program calls Isolate early in main, and Start on the inside of it. Then nothing of the classroom is seen by the
// machine, except the console's listening socket, and nothing is left of it when the program ends, in whatever
// way it ends. Only the folder of disks can outlive a kill -9; the next classroom removes it.
//
// It holds no logic of the appliance: what it starts is the program `aula serve`, and it talks to it through the API.
package lab

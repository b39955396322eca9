package boot

import (
	"context"
	"errors"
	"fmt"

	"aula/appliance/catalog"
	"aula/netboot"
	"aula/netboot/quirk"
)

// Known implements netboot.Decider.
func (s *Service) Known(mac string) bool { return true }

// Plan implements netboot.Decider.
func (s *Service) Plan(c netboot.Client) netboot.Plan {
	return netboot.Plan{Target: netboot.BootClientOS}
}

// Told implements netboot.Decider.
func (s *Service) Told(c netboot.Client, p netboot.Plan) {}

// Learn implements netboot.Decider.
func (s *Service) Learn(mac string, q quirk.Quirk, why string) {}

// Observe implements netboot.Observer.
func (s *Service) Observe(e netboot.Event) {}

// Notify implements netboot.Observer.
func (s *Service) Notify(n netboot.Notice) {}

// Given implements netboot.Consent.
func (s *Service) Given() bool { return false }

// Withdraw implements netboot.Consent.
func (s *Service) Withdraw() error { return nil }

// Decide implements netboot.Decider.
func (s *Service) Decide(_ context.Context, c netboot.Client) (netboot.Boot, error) {
	computer, err := s.cfg.Catalog.ComputerByMAC(c.MAC)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return netboot.Boot{}, fmt.Errorf("what %s boots: %w", c.MAC, err)
	}
	if computer.NextBoot == catalog.BootDisk {
		return netboot.Boot{Target: netboot.BootDisk}, s.cfg.Catalog.TakeNextBoot(computer.ID, computer.NextBoot)
	}
	ticket, err := s.cfg.Tickets.IssueTicket(c.MAC, c.Address)
	if err != nil {
		return netboot.Boot{}, fmt.Errorf("ticket for %s: %w", c.MAC, err)
	}
	return netboot.Boot{Target: netboot.BootClientOS, Ticket: ticket}, nil
}

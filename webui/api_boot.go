package webui

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"aula/appliance/boot"
	"aula/appliance/catalog"
	"aula/netboot/lease"
	"aula/netboot/quirk"
	"aula/netboot/script"
	"aula/webui/api"
)

func (s *Server) routeBoots(a huma.API) {
	type byMAC struct {
		MAC string `path:"mac" maxLength:"32"`
	}
	route(s, a, "GET", "/boots", bootTag, "List the last boot of each PC, the newest first", 200, func(context.Context, *none) ([]api.Boot, error) {
		if s.cfg.Boots == nil {
			return nil, errNoBoot
		}
		return apiBoots(s.cfg.Boots.Boots()), nil
	})
	route(s, a, "GET", "/boots/{mac}", bootTag, "The boots of one PC, the newest first", 200, func(_ context.Context, in *byMAC) ([]api.Boot, error) {
		mac, err := readMAC(in.MAC)
		if err == nil && s.cfg.Boots == nil {
			err = errNoBoot
		}
		if err != nil {
			return nil, err
		}
		return apiBoots(s.cfg.Boots.History(mac)), nil
	})
	routeEmpty(s, a, "POST", "/boots/{mac}/forgive", bootTag, "Let a PC boot the client OS again that booted over and over", func(ctx context.Context, in *byMAC) error {
		mac, err := readMAC(in.MAC)
		if err == nil && s.cfg.Boots == nil {
			err = errNoBoot
		}
		if err != nil {
			return err
		}
		s.cfg.Boots.Forgive(mac)
		s.log.Info("boot loop of a PC forgiven", "mac", mac, "by", callerOf(ctx).name())
		return nil
	})
}

func (s *Server) routeBootChoices(a huma.API) {
	type settingsInput struct{ Body api.BootSettingsEdit }
	type choiceInput struct{ Body api.BootChoice }
	type quirkInput struct {
		MAC  string `path:"mac" maxLength:"32"`
		Body api.QuirkSet
	}
	route(s, a, "GET", "/boot/settings", bootTag, "What all PCs boot, and the menu", 200, func(context.Context, *none) (api.BootSettings, error) {
		return s.apiBootSettings()
	})
	route(s, a, "PATCH", "/boot/settings", bootTag, "Change what all PCs boot, and the menu", 200, func(ctx context.Context, in *settingsInput) (api.BootSettings, error) {
		if err := s.editBootSettings(ctx, in.Body); err != nil {
			return api.BootSettings{}, err
		}
		return s.apiBootSettings()
	})
	route(s, a, "POST", "/boot/choices", bootTag, "Choose what PCs boot that have no work, once or always", 200, func(ctx context.Context, in *choiceInput) (api.BootChosen, error) {
		n, err := s.chooseBoot(ctx, in.Body)
		return api.BootChosen{Computers: n}, err
	})
	route(s, a, "GET", "/quirks", bootTag, "List the rules for firmware, and the PCs that have some", 200, func(context.Context, *none) (api.Quirks, error) {
		return s.apiQuirks()
	})
	routeEmpty(s, a, "PUT", "/quirks/{mac}", bootTag, "Set the quirks of a PC's network card", func(ctx context.Context, in *quirkInput) error {
		mac, err := readMAC(in.MAC)
		if err != nil {
			return err
		}
		return s.setQuirks(ctx, in.Body.Quirks, mac)
	})
}

func readMAC(text string) (string, error) {
	mac, err := lease.ParseMAC(text)
	if err != nil {
		return "", invalid("%w", err)
	}
	return mac.String(), nil
}

func apiBoots(all []boot.Boot) []api.Boot {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b boot.Boot) int { return b.Began.Compare(a.Began) })
	out := make([]api.Boot, len(all))
	for i, b := range all {
		out[i] = api.Boot{
			MAC: b.MAC, ComputerID: b.ComputerID, Name: b.Name, Classroom: b.Classroom, Address: shown(b.Address), Relay: shown(b.Relay),
			Firmware: string(b.Firmware), HTTP: b.HTTP, IPXE: b.IPXE, Target: b.Target, Why: b.Why, State: b.State, Reason: b.Reason,
			Began: b.Began.UTC(), Ended: b.Ended.UTC(), Steps: make([]api.BootStep, len(b.Steps)),
		}
		for j, step := range b.Steps {
			out[i].Steps[j] = api.BootStep{Name: step.Name, Phase: step.Phase, Detail: step.Detail, Began: step.Began.UTC(), Last: step.Last.UTC(),
				Bytes: step.Bytes, Size: step.Size, Times: step.Times}
		}
	}
	return out
}

func (s *Server) apiBootSettings() (api.BootSettings, error) {
	has, err := s.cfg.Catalog.BootSettings()
	out := api.BootSettings{Accepted: has.Accepted, Unknown: has.Unknown, MenuSeconds: int(has.MenuTimeout().Seconds()), MenuPassword: has.Menu.PasswordHash != ""}
	if out.MenuSeconds == 0 {
		out.MenuSeconds = -1
	}
	return out, err
}

func (s *Server) editBootSettings(ctx context.Context, e api.BootSettingsEdit) error {
	hash := ""
	if e.MenuPassword != nil && *e.MenuPassword != "" {
		var err error
		if hash, err = script.HashPassword(*e.MenuPassword); err != nil {
			return invalid("password of the menu: %w", err)
		}
	}
	err := s.cfg.Catalog.ChangeBootSettings(func(b *catalog.BootSettings) {
		if e.Accepted != nil {
			b.Accepted = *e.Accepted
		}
		if e.Unknown != nil {
			b.Unknown = *e.Unknown
		}
		if e.MenuSeconds != nil {
			b.Menu.Seconds = *e.MenuSeconds
		}
		if e.MenuPassword != nil {
			b.Menu.PasswordHash = hash
		}
	})
	if err == nil {
		s.log.Info("boot settings changed", "by", callerOf(ctx).name())
	}
	return err
}

// chooseBoot does what a choice says, and returns of how many PCs, where it is said of single ones.
func (s *Server) chooseBoot(ctx context.Context, c api.BootChoice) (int, error) {
	if len(c.ComputerIDs)+len(c.GroupIDs)+len(c.ClassroomIDs) == 0 && !c.All && !c.Unknown {
		return 0, invalid("say of which computers, groups or classrooms")
	}
	if c.Once && c.Unknown {
		return 0, invalid("PCs that nobody has accepted have no choice for once: leave out once, or unknown")
	}
	if (c.All && !c.Once || c.Unknown) && !allowed(callerOf(ctx), administer) { // it changes the settings
		return 0, echo.ErrForbidden
	}
	ids, err := s.choosing(c)
	if err != nil {
		return 0, err
	}
	if c.Once {
		err = s.cfg.Catalog.SetNextBoots(c.Target, ids...)
	} else {
		err = s.chooseAlways(c, ids)
	}
	if err != nil {
		return 0, err
	}
	s.log.Info("boot of PCs chosen", "boot", c.Target, "once", c.Once, "computers", ids, "groups", c.GroupIDs, "classrooms", c.ClassroomIDs,
		"all", c.All, "unknown", c.Unknown, "by", callerOf(ctx).name())
	return len(ids), nil
}

// choosing are the computers whose own choice is changed: for once also those of the groups and classrooms.
func (s *Server) choosing(c api.BootChoice) ([]string, error) {
	if !c.Once {
		return c.ComputerIDs, nil
	}
	all, err := s.cfg.Catalog.Computers()
	if err != nil {
		return nil, err
	}
	ids := slices.Clone(c.ComputerIDs)
	for _, pc := range all {
		in := c.All || pc.GroupID != "" && slices.Contains(c.GroupIDs, pc.GroupID) || slices.Contains(c.ClassroomIDs, pc.ClassroomID)
		if in && pc.State == catalog.Accepted && !slices.Contains(ids, pc.ID) {
			ids = append(ids, pc.ID)
		}
	}
	return ids, nil
}

func (s *Server) chooseAlways(c api.BootChoice, ids []string) error {
	if len(ids) > 0 {
		if err := s.cfg.Catalog.SetBoot(c.Target, ids...); err != nil {
			return err
		}
	}
	for _, id := range c.GroupIDs {
		if err := s.cfg.Catalog.SetGroupBoot(id, c.Target); err != nil {
			return err
		}
	}
	for _, id := range c.ClassroomIDs {
		if err := s.cfg.Catalog.SetClassroomBoot(id, c.Target); err != nil {
			return err
		}
	}
	if !c.All && !c.Unknown {
		return nil
	}
	return s.cfg.Catalog.ChangeBootSettings(func(b *catalog.BootSettings) {
		if c.All {
			b.Accepted = c.Target
		}
		if c.Unknown {
			b.Unknown = c.Target
		}
	})
}

func (s *Server) apiQuirks() (api.Quirks, error) {
	out := api.Quirks{PCs: []api.PCQuirks{}}
	for _, r := range quirk.Rules() {
		out.Rules = append(out.Rules, api.QuirkRule{Quirk: string(r.Quirk), Does: r.Does, For: r.For})
	}
	all, err := s.cfg.Catalog.Quirks()
	if err != nil {
		return out, err
	}
	computers, err := s.cfg.Catalog.Computers()
	if err != nil {
		return out, err
	}
	for _, mac := range slices.Sorted(maps.Keys(all)) {
		p := api.PCQuirks{MAC: mac, Quirks: []string{}}
		for _, q := range all[mac] {
			p.Quirks = append(p.Quirks, string(q))
		}
		if i := slices.IndexFunc(computers, func(pc catalog.Computer) bool { return slices.Contains(pc.MACs, mac) }); i >= 0 {
			p.ComputerID, p.Name = computers[i].ID, computers[i].Name
		}
		out.PCs = append(out.PCs, p)
	}
	slices.SortStableFunc(out.PCs, func(a, b api.PCQuirks) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

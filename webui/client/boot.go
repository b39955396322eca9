package client

import (
	"context"

	"aula/webui/api"
)

// Network tells what the appliance is on the network that it boots PCs on.
func (c *Client) Network(ctx context.Context) (api.Network, error) {
	return get[api.Network](ctx, c, "/boot")
}

// Consent agrees that addresses are leased, when no other server does.
func (c *Client) Consent(ctx context.Context) error {
	return c.do(ctx, "POST", "/boot/consent", nil, nil)
}

// SetMode sets how the appliance finds its role: auto, full or proxy.
func (c *Client) SetMode(ctx context.Context, mode string) error {
	return c.do(ctx, "POST", "/boot/mode", api.NetworkMode{Mode: mode}, nil)
}

// Probe looks for other DHCP servers now.
func (c *Client) Probe(ctx context.Context) (out []api.Other, err error) {
	err = c.do(ctx, "POST", "/boot/probe", nil, &out)
	return out, err
}

// DismissNotice takes a notice away until it is told again.
func (c *Client) DismissNotice(ctx context.Context, key string) error {
	return c.do(ctx, "POST", "/boot/notices/dismiss", api.NoticeKey{Key: key}, nil)
}

// Boots returns the last boot of each PC, the newest first.
func (c *Client) Boots(ctx context.Context) ([]api.Boot, error) {
	return get[[]api.Boot](ctx, c, "/boots")
}

// BootsOf returns the boots of one PC, the newest first.
func (c *Client) BootsOf(ctx context.Context, mac string) ([]api.Boot, error) {
	return get[[]api.Boot](ctx, c, "/boots"+seg(mac))
}

// Forgive lets a PC boot the client OS again that booted over and over.
func (c *Client) Forgive(ctx context.Context, mac string) error {
	return c.do(ctx, "POST", "/boots"+seg(mac)+"/forgive", nil, nil)
}

// BootSettings tells what all PCs boot, and of the menu.
func (c *Client) BootSettings(ctx context.Context) (api.BootSettings, error) {
	return get[api.BootSettings](ctx, c, "/boot/settings")
}

// ChangeBootSettings changes what is named.
func (c *Client) ChangeBootSettings(ctx context.Context, e api.BootSettingsEdit) (out api.BootSettings, err error) {
	err = c.do(ctx, "PATCH", "/boot/settings", e, &out)
	return out, err
}

// ChooseBoot says what PCs boot that have no work.
func (c *Client) ChooseBoot(ctx context.Context, choice api.BootChoice) (out api.BootChosen, err error) {
	err = c.do(ctx, "POST", "/boot/choices", choice, &out)
	return out, err
}

// Leases returns who has which address, and which are reserved, by address.
func (c *Client) Leases(ctx context.Context) ([]api.Lease, error) {
	return get[[]api.Lease](ctx, c, "/leases")
}

// Reserve says which address DHCP gives a computer; empty: any.
func (c *Client) Reserve(ctx context.Context, id, address string) error {
	return c.do(ctx, "PUT", "/computers"+seg(id)+"/address", api.Reservation{Address: address}, nil)
}

// Quirks returns the rules for firmware, and who has which.
func (c *Client) Quirks(ctx context.Context) (api.Quirks, error) {
	return get[api.Quirks](ctx, c, "/quirks")
}

// SetQuirks sets the quirks of a network card, in place of those before.
func (c *Client) SetQuirks(ctx context.Context, mac string, quirks ...string) error {
	if quirks == nil {
		quirks = []string{}
	}
	return c.do(ctx, "PUT", "/quirks"+seg(mac), api.QuirkSet{Quirks: quirks}, nil)
}

// Groups returns those of all classrooms, by name.
func (c *Client) Groups(ctx context.Context) ([]api.Group, error) {
	return get[[]api.Group](ctx, c, "/groups")
}

// AddGroup makes a group in a classroom.
func (c *Client) AddGroup(ctx context.Context, classroomID, name string) (out api.Group, err error) {
	err = c.do(ctx, "POST", "/groups", api.NewGroup{ClassroomID: classroomID, Name: name}, &out)
	return out, err
}

// RenameGroup renames one.
func (c *Client) RenameGroup(ctx context.Context, id, name string) (out api.Group, err error) {
	err = c.do(ctx, "PUT", "/groups"+seg(id), api.GroupName{Name: name}, &out)
	return out, err
}

// RemoveGroup removes one; its computers stay in the classroom.
func (c *Client) RemoveGroup(ctx context.Context, id string) error {
	return c.do(ctx, "DELETE", "/groups"+seg(id), nil, nil)
}

// SetGroup puts computers into a group of their classroom, or into none for "".
func (c *Client) SetGroup(ctx context.Context, groupID string, computerIDs ...string) error {
	return c.do(ctx, "POST", "/groups/members", api.GroupMembers{GroupID: groupID, ComputerIDs: computerIDs}, nil)
}

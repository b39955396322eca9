package lab

import (
	"context"

	"aula/netboot"
	"aula/webui/api"
)

// bootClientOS has accepted PCs without work boot the client OS.
func (l *Lab) bootClientOS(ctx context.Context) error {
	target := netboot.BootClientOS
	_, err := l.api.ChangeBootSettings(ctx, api.BootSettingsEdit{Accepted: &target})
	return err
}

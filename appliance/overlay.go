package appliance

import (
	"fmt"

	"aula/clientos/cpio"
	"aula/clientos/protocol"
)

// pinOverlay is the archive that netboot appends to the client OS's initramfs: the hash of this server's public key, by
// which the agent knows that it talks to this appliance and no other. It is public, so it may travel by HTTP.
func pinOverlay(pin string) ([]byte, error) {
	archive, err := cpio.Archive([]cpio.Entry{{Name: protocol.PinFile, Mode: 0o444, Data: []byte(pin + "\n")}})
	if err != nil {
		return nil, fmt.Errorf("overlay of the initramfs: %w", err)
	}
	return archive, nil
}

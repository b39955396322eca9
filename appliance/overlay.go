package appliance

import (
	"bytes"
	"fmt"
	"strings"

	"aula/clientos/build/cpio"
	"aula/clientos/protocol"
)

// pinOverlay is the archive that netboot appends to the client OS's initramfs: the hash of this server's public key, by
// which the agent knows that it talks to this appliance and no other. It is public, so it may travel by HTTP.
func pinOverlay(pin string) ([]byte, error) {
	var archive bytes.Buffer
	name := strings.TrimPrefix(protocol.PinFile, "/")
	if err := cpio.Write(&archive, []cpio.Entry{cpio.File(name, 0o444, []byte(pin+"\n"))}); err != nil {
		return nil, fmt.Errorf("overlay of the initramfs: %w", err)
	}
	return archive.Bytes(), nil
}

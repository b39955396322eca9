package catalog

import (
	"strings"

	"aula/clientos/protocol"
)

// A PC's board is told by its SMBIOS UUID and serial number together, and only when both are real: makers ship whole batches
// with the fields left as the BIOS vendor wrote them.

// placeholders are the values that stand for "not filled in", in lower case, as seen on PCs on sale.
var placeholders = map[string]bool{
	"to be filled by o.e.m.": true, "to be filled by o.e.m": true, "tobefilledbyo.e.m.": true,
	"default string": true, "system serial number": true, "serial number": true, "chassis serial number": true,
	"base board serial number": true, "system version": true, "system manufacturer": true, "system product name": true,
	"not specified": true, "not applicable": true, "not available": true, "none": true, "unknown": true, "n/a": true,
	"na": true, "empty": true, "oem": true, "o.e.m.": true, "invalid": true, "undefined": true, "null": true,
	"123456789": true, "1234567890": true, "0123456789": true, "12345678": true, "123456": true,
	"00020003-0004-0005-0006-000700080009": true, "03000200-0400-0500-0006-000700080009": true,
	"12345678-1234-5678-90ab-cddeefaabbcc": true, "03020100-0504-0706-0809-0a0b0c0d0e0f": true,
}

// isReal tells whether an SMBIOS value says anything about this very board.
func isReal(value string) bool {
	value = strings.ToLower(strings.TrimSpace(value))
	if placeholders[value] {
		return false
	}
	// One character over and over, such as the all-zero and all-FF UUIDs of SMBIOS 7.2.1, or xxxxxxxx.
	digits := strings.NewReplacer("-", "", " ", "", ".", "", "_", "").Replace(value)
	return len(digits) > 1 && strings.Trim(digits, digits[:1]) != ""
}

// IsRealUUID tells whether an SMBIOS UUID says anything about the board that has it: whole batches share those that makers never filled in.
func IsRealUUID(uuid string) bool { return isReal(uuid) }

func hasBoardIdentity(inv protocol.Inventory) bool { return isReal(inv.UUID) && isReal(inv.Serial) }

// sameBoard tells whether two inventories are of one board beyond doubt.
func sameBoard(a, b protocol.Inventory) bool {
	return hasBoardIdentity(a) && hasBoardIdentity(b) &&
		strings.EqualFold(a.UUID, b.UUID) && strings.EqualFold(a.Serial, b.Serial)
}

// otherBoard tells whether two inventories are of two boards beyond doubt.
func otherBoard(a, b protocol.Inventory) bool {
	return hasBoardIdentity(a) && hasBoardIdentity(b) &&
		!strings.EqualFold(a.UUID, b.UUID) && !strings.EqualFold(a.Serial, b.Serial)
}

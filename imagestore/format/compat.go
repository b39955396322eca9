package format

import (
	"fmt"
	"math"
	"strings"
)

// Compat is the line as OpenGnsys' ogGetImageInfo prints it for the image, with its rounded size: that is what its
// own scripts compare with the size of a partition. Use String for anything else.
//
// OpenGnsys reads sizes that tools print for people. Of partclone's, such as "72.1 GB" in decimal units, GB count as
// 1000000 KiB and all others as 1024; ntfsclone's bytes are divided by 1000; partimage's figure is taken for GiB whatever its unit is.
// Partclone calls EXT2 to EXT4 all EXTFS, and of raw images nothing is said but the tool.
func (i Info) Compat() string {
	tool, filesystem, size := i.Tool, i.Filesystem, ""
	switch i.Tool {
	case Partclone:
		if strings.HasPrefix(filesystem, "EXT") && filesystem != "EXFAT" {
			filesystem = "EXTFS"
		}
		value, unit := scaled(i.RequiredBytes, 1000, 10)
		factor := 1024.0
		if unit == 'G' {
			factor = 1e6
		}
		size = fmt.Sprintf("%.0f", value*factor)
	case Ntfsclone:
		size = fmt.Sprint(i.RequiredBytes / 1000)
	case Partimage:
		value, _ := scaled(i.RequiredBytes, 1024, 100)
		size = fmt.Sprintf("%.0f", value*1024*1024)
	case Raw:
		tool, filesystem = "partclone.dd", ""
	}
	return fmt.Sprintf("%s:%s:%s:%s", tool, i.Compressor, filesystem, size)
}

// scaled writes n in the largest unit of which there is at least one, rounded to 1/digits.
func scaled(n int64, step, digits float64) (value float64, unit byte) {
	const units = "BKMGTPE"
	value = float64(n)
	at := 0
	for ; value >= step && at < len(units)-1; at++ {
		value /= step
	}
	return math.Round(value*digits) / digits, units[at]
}

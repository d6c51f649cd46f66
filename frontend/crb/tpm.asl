// SPDX-License-Identifier: Apache-2.0
// The TPM as an ACPI device of the guest.  TCG ACPI Specification 1.3, 8; TCG PC Client
// Platform TPM Profile 1.05, 6.5.3: five localities from 0xFED40000.
DefinitionBlock ("tpm.aml", "SSDT", 2, "XVTPM", "CRB", 1)
{
	Scope (\_SB)
	{
		Device (VTPM)
		{
			Name (_HID, "MSFT0101")
			Name (_STR, Unicode ("TPM 2.0 Device"))
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, 0xFED40000, 0x00005000)
				Memory32Fixed (ReadWrite, 0xFED45000, 0x00001000)
			})
			Method (_STA, 0, NotSerialized) { Return (0x0F) }
		}
	}
}

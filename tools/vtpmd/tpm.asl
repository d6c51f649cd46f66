// SPDX-License-Identifier: Apache-2.0
// The TPM as an ACPI device of the guest.  TCG ACPI Specification 1.3, 8; TCG PC Client
// Platform TPM Profile 1.05, 6.5.3: five localities from 0xFED40000.  _DSM: TCG PC Client
// Platform Physical Presence Interface 1.30, and TCG Platform Reset Attack Mitigation 1.10,
// over the registers of ppi.h.
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

			OperationRegion (PPIR, SystemMemory, 0xFED46000, 0x14)
			Field (PPIR, DWordAcc, NoLock, Preserve)
			{
				PREQ, 32,
				PASK, 32,
				PLST, 32,
				PRSP, 32,
				PMOR, 32
			}

			// Has the registers judge an operation, and submits it if it is
			// allowed.  Returns function 8's answer.
			Method (SUBM, 1, Serialized)
			{
				PASK = Arg0
				Local0 = PASK
				If (Local0 == 4) { PREQ = Arg0 }
				Return (Local0)
			}

			// Physical presence: revision, function, arguments
			Method (PPIF, 3, Serialized)
			{
				Switch (ToInteger (Arg1))
				{
					Case (0) { Return (Buffer (2) { 0xFF, 0x01 }) }
					Case (1) { Return ("1.3") }
					Case (2)
					{
						Local0 = SUBM (DerefOf (Arg2 [0]))
						If (Local0 == 4) { Return (0) }
						If (Local0 == 0) { Return (1) }
						Return (2)
					}
					Case (3)
					{
						// revision 2 has the operation's parameter
						If (Arg0 >= 2)
						{
							Local0 = Package (3) { 0, 0, 0 }
						}
						Else
						{
							Local0 = Package (2) { 0, 0 }
						}
						Local0 [1] = PREQ
						Return (Local0)
					}
					// a restart leads there
					Case (4) { Return (2) }
					Case (5)
					{
						Local0 = Package (3) { 0, 0, 0 }
						Local0 [1] = PLST
						Local0 [2] = PRSP
						Return (Local0)
					}
					// no language is chosen
					Case (6) { Return (3) }
					Case (7)
					{
						Local0 = SUBM (DerefOf (Arg2 [0]))
						If (Local0 == 4) { Return (0) }
						If (Local0 == 0) { Return (1) }
						Return (3)
					}
					Case (8)
					{
						PASK = DerefOf (Arg2 [0])
						Return (PASK)
					}
				}
				Return (Buffer (1) { 0 })
			}

			Method (_DSM, 4, Serialized)
			{
				If (Arg0 == ToUUID ("3dddfaa6-361b-4eb4-a424-8d10089d1653"))
				{
					Return (PPIF (Arg1, Arg2, Arg3))
				}
				If (Arg0 == ToUUID ("376054ed-cc13-4675-901c-4756d7f2d45d"))
				{
					If (Arg2 == 0) { Return (Buffer (1) { 0x03 }) }
					If (Arg2 == 1)
					{
						PMOR = DerefOf (Arg3 [0])
						Return (0)
					}
				}
				Return (Buffer (1) { 0 })
			}
		}
	}
}

"""The time zones on offer: one or several cities of each rule in use (IANA names)."""

TIME_ZONES = tuple(
    """
    UTC
    Africa/Accra Africa/Addis_Ababa Africa/Algiers Africa/Cairo Africa/Casablanca Africa/Harare
    Africa/Johannesburg Africa/Kinshasa Africa/Lagos Africa/Nairobi Africa/Tunis Africa/Windhoek
    America/Anchorage America/Argentina/Buenos_Aires America/Asuncion America/Bogota
    America/Caracas America/Chicago America/Costa_Rica America/Denver America/Guatemala
    America/Halifax America/Havana America/La_Paz America/Lima America/Los_Angeles
    America/Mexico_City America/Montevideo America/New_York America/Panama America/Phoenix
    America/Puerto_Rico America/Santiago America/Sao_Paulo America/St_Johns America/Tijuana
    America/Toronto America/Vancouver
    Asia/Almaty Asia/Amman Asia/Baghdad Asia/Baku Asia/Bangkok Asia/Beirut Asia/Colombo
    Asia/Dhaka Asia/Dubai Asia/Ho_Chi_Minh Asia/Hong_Kong Asia/Jakarta Asia/Jerusalem
    Asia/Kabul Asia/Karachi Asia/Kathmandu Asia/Kolkata Asia/Kuala_Lumpur Asia/Macau
    Asia/Manila Asia/Qatar Asia/Riyadh Asia/Seoul Asia/Shanghai Asia/Singapore Asia/Taipei
    Asia/Tashkent Asia/Tbilisi Asia/Tehran Asia/Tokyo Asia/Ulaanbaatar Asia/Urumqi
    Asia/Vladivostok Asia/Yangon Asia/Yekaterinburg Asia/Yerevan
    Atlantic/Azores Atlantic/Reykjavik
    Australia/Adelaide Australia/Brisbane Australia/Darwin Australia/Hobart Australia/Melbourne
    Australia/Perth Australia/Sydney
    Europe/Amsterdam Europe/Athens Europe/Belgrade Europe/Berlin Europe/Brussels
    Europe/Bucharest Europe/Budapest Europe/Copenhagen Europe/Dublin Europe/Helsinki
    Europe/Istanbul Europe/Kyiv Europe/Lisbon Europe/London Europe/Luxembourg Europe/Madrid
    Europe/Moscow Europe/Oslo Europe/Paris Europe/Prague Europe/Riga Europe/Rome Europe/Sofia
    Europe/Stockholm Europe/Tallinn Europe/Vienna Europe/Vilnius Europe/Warsaw Europe/Zurich
    Indian/Maldives Indian/Mauritius
    Pacific/Auckland Pacific/Fiji Pacific/Guam Pacific/Honolulu Pacific/Port_Moresby
    """.split()
)

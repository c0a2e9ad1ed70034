"""Mail providers that anybody can have an address at: their domains say nothing of a company."""

PUBLIC_MAIL_DOMAINS = frozenset(
    """
    126.com 139.com 163.com 163.net 188.com 189.cn 21cn.com 263.net aliyun.com foxmail.com
    qq.com sina.cn sina.com sina.com.cn sohu.com tom.com vip.163.com vip.126.com vip.qq.com
    vip.sina.com wo.cn yeah.net
    aim.com aol.com att.net bellsouth.net bk.ru bluewin.ch bol.com.br btinternet.com
    comcast.net cox.net daum.net docomo.ne.jp duck.com ezweb.ne.jp fastmail.com fastmail.fm
    freemail.hu free.fr freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net
    googlemail.com hanmail.net hey.com hotmail.be hotmail.ca hotmail.co.jp hotmail.co.uk
    hotmail.com hotmail.com.br hotmail.de hotmail.es hotmail.fr hotmail.it hotmail.nl
    hushmail.com icloud.com ig.com.br inbox.ru interia.pl kakao.com laposte.net libero.it
    list.ru live.ca live.cn live.co.uk live.com live.de live.fr live.it live.jp live.nl
    mac.com mail.com mail.ru mailfence.com me.com msn.com naver.com nate.com o2.pl
    onet.pl op.pl orange.fr outlook.at outlook.be outlook.com outlook.com.br outlook.de
    outlook.es outlook.fr outlook.it outlook.jp outlook.kr pm.me posteo.de posteo.net
    proton.me protonmail.ch protonmail.com rambler.ru rediffmail.com riseup.net rocketmail.com
    rogers.com sapo.pt sbcglobal.net seznam.cz sfr.fr shaw.ca sky.com softbank.ne.jp
    sympatico.ca t-online.de telenet.be terra.com.br tuta.com tuta.io tutanota.com
    ukr.net uol.com.br verizon.net virgilio.it wanadoo.fr web.de wp.pl xtra.co.nz
    yahoo.ca yahoo.cn yahoo.co.id yahoo.co.in yahoo.co.jp yahoo.co.uk yahoo.com yahoo.com.ar
    yahoo.com.au yahoo.com.br yahoo.com.cn yahoo.com.hk yahoo.com.mx yahoo.com.sg
    yahoo.com.tw yahoo.de yahoo.es yahoo.fr yahoo.it yandex.com yandex.ru ya.ru ymail.com
    zoho.com zohomail.com
    """.split()
)

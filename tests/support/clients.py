"""What clients that are nobody's visit really send: crawlers, previews, and fetching ahead."""

from __future__ import annotations

CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Safari/605.1.15"
)
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
IMAGE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"

MACHINES = {
    "google": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "google on a phone": (
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like "
        "Gecko) Chrome/126.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; "
        "+http://www.google.com/bot.html)"
    ),
    "google inspection": "Mozilla/5.0 (compatible; Google-InspectionTool/1.0;)",
    "bing": "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "bing preview": f"{CHROME} BingPreview/1.0b",
    "yahoo": "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
    "baidu": "Mozilla/5.0 (compatible; Baiduspider/2.0; http://www.baidu.com/search/spider.html)",
    "apple": f"{SAFARI} (Applebot/0.1; +http://www.apple.com/go/applebot)",
    "slack": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "slack images": "Slack-ImgProxy (+https://api.slack.com/robots)",
    "twitter": "Twitterbot/1.0",
    "facebook": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "facebook, plain": "facebookexternalhit/1.1",
    "meta": "meta-externalagent/1.1",
    "whatsapp": "WhatsApp/2.23.20.0 A",
    "telegram": "TelegramBot (like TwitterBot)",
    "discord": "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "linkedin": "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://linkedin.com)",
    "pinterest": "Pinterest/0.2 (+https://www.pinterest.com/bot.html)",
    "skype": "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
    "mastodon": "Mastodon/4.3.0 (http.rb/5.2.0; +https://social.example/) Bot",
    "tumblr": "Tumblr/14.0.835.186",
    "archive": "Mozilla/5.0 (compatible; archive.org_bot +http://archive.org/details/archive.org_bot)",
    "reader": "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 12 subscribers)",
    "language model": "Mozilla/5.0 AppleWebKit/537.36 (compatible; GPTBot/1.1; +https://openai.com)",
    "crawler": "CCBot/2.0 (https://commoncrawl.org/faq/)",
    "lighthouse": f"{CHROME} Chrome-Lighthouse",
    "monitor": "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "checker": "W3C_Validator/1.3 http://validator.w3.org/services",
}

AHEAD = {
    "chrome link": {"Sec-Purpose": "prefetch", "Purpose": "prefetch"},
    "chrome address bar": {"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch"},
    "speculation rules, prefetch": {"Sec-Purpose": "prefetch", "Sec-Fetch-Site": "none"},
    "speculation rules, prerender": {"Sec-Purpose": "prefetch;prerender"},
    "through a private proxy": {"Sec-Purpose": "prefetch;anonymous-client-ip"},
    "older chrome": {"Purpose": "prefetch"},
    "older prerender": {"Purpose": "prerender"},
    "firefox": {"Sec-Purpose": "prefetch"},
    "older firefox": {"X-Moz": "prefetch"},
    "safari's top sites": {"X-Purpose": "preview"},
    "older safari": {"Purpose": "preview"},
}

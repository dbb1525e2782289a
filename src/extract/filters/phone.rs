//! Phone numbers.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::data::words::is_unspaced;

/// How phone numbers are written. Digits alone are one only after a word that says so, or as a Chinese mobile number in a
/// Chinese text: years, dates, ISBNs, addresses of machines, versions and lists of numbers are written like neither.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    let international = r"\+[1-9](?:[ .-]?\(?[0-9]\)?){7,14}";
    // (415) 627-2671, 415-627-2671, 415.627.2671, with or without 1.
    let american = r"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}-|[2-9][0-9]{2}\.)[2-9][0-9]{2}[.-][0-9]{4}";
    let chinese = r"1[3-9][0-9](?:-[0-9]{4}-| [0-9]{4} )[0-9]{4}|0[1-9][0-9]{1,2}-[2-9][0-9]{6,7}";
    let chinese_digits = r"(?P<mobile>1[3-9][0-9]{9})";
    let announced = concat!(
        r"(?i:(?-u:\b)(?:(?:tele)?phone|tel|mobile|cell|fax|whatsapp)(?: ?(?:number|no))?|电话|手机|传真)(?:号码?)?",
        r#"(?:\.| is|是|为)?[":：]*\s*"?(?P<digits>[0-9(][0-9() .-]{6,18}[0-9])"#
    );
    Regex::new(&format!("{announced}|{international}|{american}|{chinese}|{chinese_digits}"))
        .expect("a constant pattern, which tests compile")
});

/// Whether the text contains a phone number of a person or an office; not example numbers (1234567, 555), nor toll-free
/// numbers, which help lines have.
pub(super) fn is_in(text: &str) -> bool {
    if text.bytes().filter(u8::is_ascii_digit).nth(6).is_none() {
        return false;
    }
    let chinese = LazyLock::<bool, _>::new(|| text.chars().any(is_unspaced));
    NUMBER.captures_iter(text).any(|found| is_number(text, &found) && (found.name("mobile").is_none() || *chinese))
}

fn is_number(text: &str, found: &Captures) -> bool {
    let Some(whole) = found.get(0) else { return false };
    let number = found.name("digits").unwrap_or(whole);
    let part_of_more =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '=' | '.' | ',' | '+' | '*');
    let before = text[..whole.start()].chars().next_back();
    let mut after = text[whole.end()..].chars();
    let (next, then) = (after.next(), after.next());
    // A full stop or a comma ends a sentence where no digit follows.
    let ends = match next {
        Some('.' | ',' | '-') => !then.is_some_and(|c| c.is_ascii_alphanumeric()),
        Some(c) => !part_of_more(c),
        None => true,
    };
    let starts = found.name("digits").is_some() || !before.is_some_and(part_of_more);
    let digits: String = number.as_str().chars().filter(char::is_ascii_digit).collect();
    // One dot is that of a decimal number.
    let decimal = number.as_str().matches('.').count() == 1;
    starts && ends && !decimal && (7..=15).contains(&digits.len()) && !is_made_up(&digits)
}

fn is_made_up(digits: &str) -> bool {
    let national = digits.strip_prefix('1').filter(|rest| rest.len() == 10).unwrap_or(digits);
    let toll_free = ["800", "833", "844", "855", "866", "877", "888"];
    let american = national.len() == 10;
    digits.contains("123456")
        || digits.contains("987654")
        || digits.as_bytes().windows(6).any(|run| run.iter().all(|digit| *digit == run[0]))
        || (american && (national[3..].starts_with("555") || national.starts_with("555")))
        || (american && toll_free.iter().any(|code| national.starts_with(code)))
        || digits.starts_with("400")
        || digits.starts_with("555")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phone_numbers_are_found() {
        for text in [
            "Call me at +44 20 7946 0958.",
            "my number is +8613912345876",
            "+1 (415) 627-2671",
            "reach us: (415) 627-2671, or write",
            "415-627-2671",
            "1-415-627-2671 is hers",
            "Phone: 4156272671",
            "WhatsApp number: 07700 900982",
            r#"{"phone": "4156272671"}"#,
            "请打电话13812349876给我",
            "我的手机号是138 1234 9876",
            "139-1276-5438",
            "电话：010-68901752",
            "传真 0571-87654328",
        ] {
            assert!(is_in(text), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_none() {
        for text in [
            "from 1998 to 2023",
            "2023-04-05 12:30:15",
            "ISBN 978-3-16-148410-0",
            "192.168.100.1000",
            "10.0.0.127 and 255.255.255.0",
            "version 415.627.2671.3",
            "the product is 15241578750",
            "[200, 300, 4000, 5000]",
            "200 300 4000",
            "x+1234567890123",
            "a = 13812349876;",
            "1672531200000 milliseconds",
            "123-456-7890",
            "call (212) 555-0147",
            "dial 1-800-273-8255 at any time",
            "UUID 123e4567-e89b-12d3-a456-426614174000",
            "order 24-415-627-2671-9",
            "phone 12 pro costs 1099",
            "3.14159265358979",
            "4.2 +1.523679340 and 7",
            "1 + 2 = 3",
            "电话号码 12345678",
            "圆周率3.1415926535897932",
            "Telephone 1876 to 1922",
        ] {
            assert!(!is_in(text), "{text}");
        }
    }
}
